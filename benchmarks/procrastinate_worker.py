"""A worker process of Procrastinate."""

from benchmarks.queue_rivals import procrastinate_app

if __name__ == "__main__":
    app = procrastinate_app()
    with app.open():
        app.run_worker(concurrency=10)
