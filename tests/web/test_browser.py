"""The main ways through the console in a real Chromium, over a busy store with a real server behind it."""

import tempfile
from pathlib import Path
from uuid import UUID

import pytest
from tests.process.lab import Lab, wait_for
from tests.web.axe import axe_source, serious
from tests.web.browser import PHONE, WIDE, chromium, start_web, watched
from tests.web.busy import settle, watch_folder, write_inputs

from penstock.store import close_store, open_store

pytestmark = pytest.mark.process
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def open_browser():
    with chromium() as new_context:
        yield new_context


@pytest.fixture(scope="module")
def lab(open_browser):
    """A busy store with its server; made once, and each test has jobs of its own in it."""
    with tempfile.TemporaryDirectory(prefix="penstock-lab-") as name:
        Path(name).chmod(0o755)
        made = Lab(Path(name))
        try:
            write_inputs(made)
            settle(made)
            watch_folder(made)
            yield made
        finally:
            made.close()
            close_store(made.url)


@pytest.fixture(scope="module")
def web(lab):
    lab.path("pyproject.toml").write_text(f'[tool.penstock]\nallowed_roots = ["{lab.folder}"]\n')
    return start_web(lab)


@pytest.fixture
def page(open_browser, web):
    context = open_browser(viewport=WIDE, base_url=web, accept_downloads=True)
    context.set_default_timeout(20_000)
    found = watched(context.new_page())
    yield found
    trouble = found.trouble
    context.close()
    assert trouble == []


def create(lab, source):
    """Make a job in another process, and return its id."""
    return lab.python(f"from shop import *\n{source}\nprint(job.id)").decode().strip()


def state_of(lab, job_id):
    row = open_store(lab.url).job(UUID(job_id))
    return None if row is None else str(row.state)


LEDGER = """
job = LedgerImport(description={name!r}, priority=5)
job.upload(["1;DE1;10.00", "2;DE1;20,50", "3;DE1;30.25"])
job.save()
"""


def test_a_failed_job_is_found_its_record_seen_corrected_retried_watched_and_downloaded(lab, page):
    job_id = create(lab, LEDGER.format(name="The ledger of Tuesday"))
    wait_for(lambda: state_of(lab, job_id) == "failed", "the job to fail")
    page.goto("/jobs?state=failed")
    page.get_by_role("searchbox").fill("ledger of tuesday")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="LedgerImport", exact=True).click()
    page.get_by_role("link", name="See the record").first.click()
    page.get_by_text("amount '20,50' of entry 2 is no number").first.wait_for()
    box = page.get_by_role("textbox", name="Record 2")
    assert box.input_value() == "2;DE1;20,50"
    box.fill("2;DE1;20.50")
    page.get_by_role("button", name="Save the record").click()
    page.get_by_text("Record 2 is corrected").wait_for()
    page.get_by_role("button", name="Retry the job").click()
    # It is not loaded again: what is new comes by itself.
    page.locator("h1 .badge", has_text="completed").wait_for()
    with page.expect_download() as started:
        page.get_by_role("link", name="Download", exact=False).first.click()
    assert Path(started.value.path()).read_text() == "1;DE1;1000\n2;DE1;2050\n3;DE1;3025\n"
    page.goto(page.url)
    assert page.locator("#audit").get_by_text("record.edit").count() == 1


def test_a_running_batch_is_paused_and_resumed_and_its_progress_seen_moving(lab, page):
    job_id = create(
        lab, 'job = ClickStream(description="Paused by hand", priority=1)\njob.upload("clicks.log")\njob.save()'
    )
    wait_for(lambda: state_of(lab, job_id) == "running", "the job to run")
    page.goto(f"/jobs/{job_id}")
    before = page.locator("#progress .figure-value").nth(1).inner_text()
    page.wait_for_function(
        "before => document.querySelectorAll('#progress .figure-value')[1].innerText !== before", arg=before
    )
    page.get_by_role("button", name="Pause").click()
    page.locator("h1 .badge", has_text="paused").wait_for()
    assert state_of(lab, job_id) == "paused"
    page.get_by_role("button", name="Resume").click()
    page.locator("h1 .badge", has_text="running").wait_for()
    page.get_by_role("button", name="Abort").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("cannot be undone").wait_for()
    dialog.get_by_role("button", name="Keep it").click()
    assert state_of(lab, job_id) == "running"
    page.get_by_role("button", name="Abort").click()
    page.get_by_role("dialog").get_by_role("button", name="Abort it").click()
    page.locator("h1 .badge", has_text="aborted").wait_for()


def test_another_priority_is_another_place_in_the_queue(lab, page):
    create(lab, 'for n in range(3):\n    job = TrainModel(description=f"Model {n}", priority=90 + n)\n    job.save()')
    last = create(lab, 'job = TrainModel(description="The urgent one", priority=99)\njob.save()')
    servers = page.context.new_page()
    servers.goto("/servers")
    servers.get_by_role("button", name="Pause").click()
    servers.get_by_text("paused").first.wait_for()
    try:
        page.goto("/jobs?state=queued_now&kind=TrainModel")
        titles = page.locator("td .sub", has_text="one").or_(page.locator("td .sub", has_text="Model"))
        order = [text for text in titles.all_inner_texts() if "one" in text or "Model" in text]
        assert order[-1] == "The urgent one"
        field = page.locator(f"#priority-{last}")
        field.fill("2")
        field.press("Tab")
        page.locator(".said .message", has_text=": 2").wait_for()
        page.wait_for_function("id => document.querySelector('[data-rows] tbody tr').id === `row-${id}`", arg=last)
        assert titles.all_inner_texts()[0] == "The urgent one"
        field.fill("200")
        field.press("Tab")
        page.locator(".said .message", has_text="from 1 to 100").wait_for()
        assert field.input_value() == "2"
        page.goto(f"/jobs/{last}")
        slider = page.get_by_label("Priority, by a slider")
        for _ in range(3):
            slider.press("ArrowRight")
        page.locator(".said .message", has_text="Priority: 5").wait_for()
        assert open_store(lab.url).job(UUID(last)).priority == 5
    finally:
        servers.get_by_role("button", name="Resume").click()
        servers.get_by_text("running").first.wait_for()
        lab.run("destroy", "--all", "--kind", "TrainModel", "--yes", command="jobs")


def test_a_file_is_sent_its_format_seen_and_the_result_fetched(lab, page):
    import gzip

    lab.path("people.txt.gz").write_bytes(gzip.compress(b"Ada\nGrace\nEdsger\n"))
    page.goto("/jobs")
    page.get_by_role("link", name="New job").click()
    page.get_by_role("link", name="Reverse").click()
    page.get_by_label("The file with the records").set_input_files(str(lab.path("people.txt.gz")))
    preview = page.locator("#file-preview")
    preview.get_by_text("gz").wait_for()
    assert "Grace" in preview.inner_text()
    page.get_by_role("button", name="Queue it").click()
    page.get_by_text("Reverse with 3 records is queued").wait_for()
    page.locator("h1 .badge", has_text="completed").wait_for()
    page.get_by_role("link", name="Preview").click()
    assert page.locator("td.record").all_inner_texts() == ["adA", "ecarG", "regsdE"]
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").click()
    assert Path(started.value.path()).read_text() == "adA\necarG\nregsdE\n"


def test_a_folder_is_watched_after_a_look_at_what_would_happen(lab, page):
    page.goto("/dirmon")
    page.get_by_role("link", name="Watch a folder").click()
    page.get_by_label("Name").fill("orders")
    page.get_by_label("Files").fill(f"{lab.folder}/inbox/*.csv")
    page.get_by_label("Become").select_option("Reverse")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Nothing is watched until it is enabled").wait_for()
    assert "orders-1.csv" in page.locator("#look").inner_text()
    page.get_by_role("button", name="Enable").click()
    page.locator("h1 .badge", has_text="enabled").wait_for()
    page.get_by_role("button", name="Disable").click()
    page.locator("h1 .badge", has_text="disabled").wait_for()


def test_each_role_sees_and_may_do_what_its_row_says(lab, open_browser):
    for login, role in (("vera", "view"), ("mona", "manager"), ("ada", "admin")):
        added = lab.run(
            "user", "add", login, "--role", role, "--password-file", "-", command="web", stdin=f"{PASSWORD}\n".encode()
        )
        assert added.code == 0, added.err
    web = start_web(lab, "--users", "penstock-users.json")
    job_id = create(lab, 'job = SendInvoice(customer="x", run_at="2099-01-01T00:00:00Z")\njob.save()')
    may = {"vera": (), "mona": ("Pause", "Abort"), "ada": ("Pause", "Abort", "Destroy")}
    for login, buttons in may.items():
        context = open_browser(viewport=WIDE, base_url=web)
        page = watched(context.new_page())
        page.goto(f"/jobs/{job_id}")
        page.get_by_label("Login").fill(login)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="SendInvoice").wait_for()
        for name in ("Pause", "Abort", "Destroy"):
            assert page.get_by_role("button", name=name).count() == (name in buttons), (login, name)
        assert page.trouble == []
        context.close()


def test_the_keys_lead_everywhere(page):
    page.goto("/")
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("search jobs").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url("**/jobs")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.get_by_text("1 selected:").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/0*")


def test_without_scripts_every_action_is_a_plain_form(lab, open_browser, web):
    job_id = create(lab, 'job = SendInvoice(customer="x", run_at="2099-01-01T00:00:00Z")\njob.save()')
    context = open_browser(viewport=PHONE, base_url=web, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/jobs/{job_id}")
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("SendInvoice paused.").wait_for()
    page.get_by_role("button", name="Abort").click()
    page.get_by_role("heading", name="Abort this SendInvoice?").wait_for()
    page.get_by_role("button", name="Abort it").click()
    page.get_by_text("SendInvoice aborted.").wait_for()
    context.close()
    assert state_of(lab, job_id) == "aborted"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(lab, open_browser, web, theme):
    source = axe_source()
    batch = create(lab, LEDGER.format(name=f"For axe, {theme}"))
    wait_for(lambda: state_of(lab, batch) == "failed", "the job to fail")
    context = open_browser(viewport=WIDE, base_url=web, color_scheme=theme, bypass_csp=True)
    page = context.new_page()
    found = {}
    for path in ("/", "/jobs", f"/jobs/{batch}", f"/jobs/{batch}/failed/1", f"/jobs/{batch}/edit", "/jobs/new",
                 "/jobs/new?kind=LedgerImport", f"/jobs/{batch}/output/main", "/schedules", "/servers", "/dirmon",
                 "/dirmon/new", "/audit", "/settings", "/nothing"):  # fmt: skip
        page.goto(path)
        page.evaluate(source)
        found |= {f"{path} {what}": where for what, where in serious(page).items()}
    context.close()
    assert found == {}


def test_a_phone_shows_everything_without_scrolling_sideways(open_browser, web):
    context = open_browser(viewport=PHONE, base_url=web, is_mobile=True)
    page = context.new_page()
    for path in ("/", "/jobs", "/schedules", "/servers", "/dirmon", "/audit", "/settings", "/jobs/new"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    context.close()
