"""What is destroyed or done to many asks once more: in a dialog where the browser runs scripts, else on a page."""

from collections.abc import Mapping

from starlette.responses import Response

from penstock.web.visit import Visit

FIELD = "confirmed"


def is_confirmed(visit: Visit) -> bool:
    """Tell whether the person has said that they are sure."""
    return visit.text(FIELD) == "yes"


def ask(visit: Visit, title: str, text: str, *, do: str, target: str, back: str, message: bool = False) -> Response:
    """Return the page that asks, which sends the same form again.

    Args:
        visit: The visit, whose form is kept.
        title: The question.
        text: What will happen.
        do: What the button says.
        target: The path that the form goes to.
        back: The path of the page to return to.
        message: Whether a reason is asked for.
    """
    kept: Mapping[str, str] = {name: str(value) for name, value in visit.form.items() if name != "token"}
    return visit.render(
        "confirm.html",
        title=title,
        text=text,
        do=do,
        target=target,
        kept=list(kept.items()),
        back=visit.url(back),
        asks_message=message,
    )
