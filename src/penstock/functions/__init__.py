"""Functions as jobs: `@job`, handles that can be waited for, and feedback in the application."""
