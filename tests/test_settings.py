"""Settings: file, environment, options; every mistake at once."""

import pytest

from bastion.core.errors import Misconfigured
from bastion.settings import as_toml, default_home, every_setting, load_settings
from bastion.wire.limits import Limits as WireLimits


def test_without_anything_the_defaults_hold_and_everything_is_on_loopback(tmp_path):
    settings = load_settings(tmp_path, {}, {})
    assert (settings.ssh.host, settings.ssh.port, settings.web.host) == ("127.0.0.1", 2222, "127.0.0.1")
    assert settings.home == tmp_path
    assert settings.recordings == tmp_path / "recordings"


def test_options_win_over_environment_and_environment_over_the_file(tmp_path):
    (tmp_path / "bastion.toml").write_text("[ssh]\nport = 1\nhost = '::1'\n[limits]\nchannels = 3\n")
    settings = load_settings(tmp_path, {"ssh.port": 3}, {"BASTION_SSH_PORT": "2", "BASTION_LIMITS_CHANNELS": "4"})
    assert (settings.ssh.port, settings.ssh.host, settings.limits.channels) == (3, "::1", 4)


def test_every_mistake_is_named_at_once_with_where_it_stands(tmp_path):
    (tmp_path / "bastion.toml").write_text("nod = 'x'\n[ssh]\nport = 99999\n[limits]\nexempt_networks = ['1.2.3.4/33']\n")
    with pytest.raises(Misconfigured) as found:
        load_settings(tmp_path, {"sessions.per_user": 0}, {"BASTION_SSH_HSOT": "x"})
    lines = found.value.public.splitlines()
    assert len(lines) == 5
    assert any("bastion.toml: ssh.port:" in line for line in lines)
    assert any("there is no setting 'nod'. Did you mean 'node'?" in line for line in lines)
    assert any("1.2.3.4/33" in line for line in lines)
    assert any("$BASTION_SSH_HSOT" in line and "BASTION_SSH_HOST" in line for line in lines)
    assert any("--sessions-per-user" in line for line in lines)


@pytest.mark.parametrize("text", ["port = ", "[ssh]\nport = 1\nport = 2\n", "\xff"])
def test_a_file_that_is_no_toml_is_refused_with_its_name(text, tmp_path):
    (tmp_path / "bastion.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(Misconfigured, match=r"bastion\.toml: "):
        load_settings(tmp_path, {}, {})


def test_settings_do_not_change(tmp_path):
    settings = load_settings(tmp_path, {}, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.ssh.port = 5


def test_every_setting_has_a_reason_and_stands_in_the_written_file():
    text = as_toml()
    for name, _, reason in every_setting():
        assert reason.endswith("."), name
        assert f"# {name.rpartition('.')[2]} = " in text


def test_the_written_file_taken_at_its_word_is_the_defaults(tmp_path):
    live = "\n".join(line[2:] if line.startswith("# ") and " = " in line and line[2:].split(" = ")[0].isidentifier() else line for line in as_toml().splitlines())
    (tmp_path / "bastion.toml").write_text(live)
    assert load_settings(tmp_path, {}, {}) == load_settings(tmp_path / "other", {}, {}).model_copy(update={"home": tmp_path})


def test_every_limit_here_is_one_that_the_ssh_floor_knows_with_the_same_default():
    for name, default, _ in every_setting():
        section, _, field = name.partition(".")
        if section == "limits":
            assert getattr(WireLimits(), field) == default


def test_the_home_is_where_it_was_said(tmp_path):
    assert default_home({"BASTION_HOME": str(tmp_path)}) == tmp_path
