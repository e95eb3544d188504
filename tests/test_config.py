"""Settings: where they come from, which wins, and what is said of wrong ones."""

import pytest

import penstock
from penstock import config
from penstock.config import DEFAULT_STORE, MIB, Settings, configure, default_app, settings
from penstock.errors import ConfigurationError


@pytest.fixture(autouse=True)
def pyproject(tmp_path, monkeypatch):
    """Work in an empty folder; return a function that writes its `pyproject.toml`."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "pyproject.toml").write_text(text, "utf-8")
        config.reset()

    return write


@pytest.fixture
def environment(monkeypatch):
    """Return a function that sets a variable."""

    def put(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        config.reset()

    return put


class TestOrder:
    def test_nothing_said_the_defaults_hold(self):
        assert settings() == Settings(
            store=DEFAULT_STORE, app=(), timezone="UTC", durability="full", max_record=16 * MIB, max_slice=4 * MIB
        )

    def test_configure_wins_over_the_environment_and_that_over_pyproject(self, pyproject, environment):
        pyproject('[tool.penstock]\nstore = "sqlite:///p.db"\ntimezone = "Europe/Paris"\nmax_slice = 5\n')
        environment(PENSTOCK_STORE="sqlite:///e.db", PENSTOCK_TIMEZONE="Asia/Tokyo")
        configure(store="sqlite:///c.db")
        found = settings()
        assert (found.store, found.timezone, found.max_slice) == ("sqlite:///c.db", "Asia/Tokyo", 5)

    def test_configured_again_it_adds(self):
        configure(store="sqlite:///a.db", max_slice=7)
        assert configure(max_slice=8) == Settings(store="sqlite:///a.db", max_slice=8)

    def test_an_empty_variable_is_as_none(self, environment):
        environment(PENSTOCK_STORE="")
        assert settings().store == DEFAULT_STORE

    def test_settings_are_read_once(self, environment, monkeypatch):
        environment(PENSTOCK_STORE="sqlite:///a.db")
        assert settings().store == "sqlite:///a.db"
        monkeypatch.setenv("PENSTOCK_STORE", "sqlite:///b.db")
        assert settings().store == "sqlite:///a.db"
        configure()
        assert settings().store == "sqlite:///b.db"

    def test_reset_forgets_what_was_configured(self):
        configure(store="sqlite:///a.db")
        config.reset()
        assert settings() == Settings()

    @pytest.mark.parametrize(
        ("variable", "text", "name", "value"),
        [
            ("PENSTOCK_APP", "a, b:c  d", "app", ("a", "b:c", "d")),
            ("PENSTOCK_MAX_RECORD", "100", "max_record", 100),
            ("PENSTOCK_MAX_SLICE", "1", "max_slice", 1),
            ("PENSTOCK_DURABILITY", "normal", "durability", "normal"),
        ],
    )
    def test_every_setting_has_a_variable(self, environment, variable, text, name, value):
        environment(**{variable: text})
        assert getattr(settings(), name) == value

    def test_app_may_be_a_list_in_pyproject_and_a_call(self, pyproject):
        pyproject('[tool.penstock]\napp = ["a", "b"]\n')
        assert settings().app == ("a", "b")
        assert configure(app=["c"]).app == ("c",)
        assert configure(app="c d").app == ("c", "d")


class TestWrong:
    def test_an_unknown_name_is_named_with_the_known_ones(self):
        with pytest.raises(
            ConfigurationError, match=r"configure\(\): there is no setting 'stor'; known: store, slices_store, app,"
        ):
            configure(stor="x")

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("durability", "half", "must be one of full, normal"),
            ("max_record", "many", "invalid literal"),
            ("max_record", 0, "must be at least 1"),
            ("max_slice", -1, "must be at least 1"),
            ("max_slice", None, "int"),
            ("app", 5, "int"),
        ],
    )
    def test_a_wrong_value_is_named_with_the_reason(self, name, value, reason):
        with pytest.raises(ConfigurationError, match=reason) as caught:
            configure(**{name: value})
        assert str(caught.value).startswith(f"configure(): {name} = {value!r}: ")

    def test_a_wrong_variable_is_named(self, environment):
        environment(PENSTOCK_MAX_SLICE="many")
        with pytest.raises(ConfigurationError, match=r"^PENSTOCK_MAX_SLICE: max_slice = 'many'"):
            settings()

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('[tool.penstock]\nstor = "x"\n', "there is no setting 'stor'"),
            ('[tool.penstock]\ndurability = "half"\n', "must be one of"),
            ("[tool.penstock\n", "pyproject.toml"),
            ("[tool]\npenstock = 5\n", r"tool\.penstock"),
        ],
    )
    def test_a_wrong_pyproject_is_named(self, pyproject, text, reason):
        pyproject(text)
        with pytest.raises(ConfigurationError, match=reason) as caught:
            settings()
        assert "pyproject.toml" in str(caught.value)

    def test_pyproject_in_another_encoding_is_named(self, tmp_path):
        (tmp_path / "pyproject.toml").write_bytes(b'# caf\xe9\n[tool.penstock]\nstore = "x"\n')
        with pytest.raises(ConfigurationError, match=r"pyproject\.toml"):
            settings()

    def test_a_pyproject_of_others_is_not_ours(self, pyproject):
        pyproject("[tool.other]\nstore = 5\n")
        assert settings() == Settings()

    def test_a_refused_call_changes_nothing(self):
        before = configure(max_slice=7)
        with pytest.raises(ConfigurationError):
            configure(store="sqlite:///a.db", durability="half")
        assert configure() == before


def test_without_an_app_the_folder_jobs_is_it_where_it_exists(tmp_path):
    assert default_app() == ()
    (tmp_path / "jobs").mkdir()
    assert default_app() == ("jobs",)
    penstock.configure(app="mine")
    assert default_app() == ("mine",)


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(AttributeError):
        settings().store = "sqlite:///a.db"


class TestRootsAndCode:
    def test_there_are_no_roots_and_no_code_on_demand_until_they_are_set(self):
        assert (settings().allowed_roots, settings().allow_on_demand_code) == ((), False)

    def test_roots_are_separated_by_commas_and_may_hold_spaces(self, environment):
        environment(PENSTOCK_ALLOWED_ROOTS="/data/in box, s3://bucket/in,")
        assert settings().allowed_roots == ("/data/in box", "s3://bucket/in")

    def test_a_root_is_an_absolute_path_or_a_url(self):
        with pytest.raises(ConfigurationError, match="data is neither an absolute path nor a URL"):
            configure(allowed_roots=["data"])

    @pytest.mark.parametrize(("text", "meant"), [("true", True), ("1", True), ("False", False), ("0", False)])
    def test_code_on_demand_is_allowed_by_a_plain_word(self, environment, text, meant):
        environment(PENSTOCK_ALLOW_ON_DEMAND_CODE=text)
        assert settings().allow_on_demand_code is meant

    def test_any_other_word_is_refused(self):
        with pytest.raises(ConfigurationError, match="must be true or false"):
            configure(allow_on_demand_code="maybe")
