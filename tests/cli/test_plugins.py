"""Naming capabilities: what can be loaded, and what is said about what cannot."""

import sys
import textwrap

import pytest

from devp2p.cli import plugins
from devp2p.terminal.output import Failure

CHAT = """
    from dataclasses import dataclass
    from devp2p import Capability

    @dataclass(frozen=True)
    class Say:
        text: str

    class Chat(Capability[Say]):
        name, version, messages = "chat", 1, {0: Say}
        async def run(self, peer, channel): ...

    class Room(Chat):
        name = "room"
        def __init__(self, title):
            self.title = title

    class Outer:
        class Inner(Chat):
            name = "inner"

    class Silent(Capability[Say]):
        name, version, messages = "silent", 1, {0: Say}

    class Nameless(Capability[Say]):
        async def run(self, peer, channel): ...

    class Failing(Chat):
        def __init__(self):
            raise ZeroDivisionError

    class Chat2(Chat):
        version = 2

    lobby = Room("lobby")

    def both(): return Chat(), Chat2()
    def one(): return Room("one")
    def none(): return ()
    def classes(): return Chat, Chat2
    def named(title): return Room(title)
"""


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """A current directory with modules in it; what is imported from it is forgotten afterwards."""
    modules = {
        "chat_here": CHAT,
        "wants_more": "import a_module_that_is_not_there",
        "fails": "1 / 0",
        "empty": "",
        "wrong": "from chat_here import Chat\nclass Long(Chat):\n    name = 'muchtoolong'\n",
        "package/__init__": "",
        "package/sub": "from chat_here import Chat",
    }
    for name, text in modules.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {path.partition("/")[0] for path in modules}:
            del sys.modules[name]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Make a distribution with plugins, as an installer would leave it on the path; those of this project are as if not installed."""
    installed = plugins._installed
    monkeypatch.setattr(plugins, "_installed", lambda: [one for one in installed() if not one.value.startswith("devp2p.")])

    def install(distribution: str, **entries: str) -> None:
        site = tmp_path / f"site-{distribution}"
        info = site / f"{distribution}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{plugins.GROUP}]", *lines, ""]))
        monkeypatch.syspath_prepend(site)

    return install


@pytest.mark.parametrize(
    ("name", "offer"),
    [
        ("chat_here:Chat", "chat/1"),
        ("package.sub:Chat", "chat/1"),
        ("chat_here:Outer.Inner", "inner/1"),
        ("chat_here:lobby", "room/1"),
    ],
)
def test_a_class_or_an_object_in_a_module(name, offer):
    (capability,) = plugins.load([name])
    assert str(capability.table().spec.offer) == offer


def test_several_keep_their_order():
    assert [capability.name for capability in plugins.load(["chat_here:lobby", "chat_here:Chat"])] == ["room", "chat"]


def test_a_function_makes_one_or_several():
    assert [str(capability.table().spec.offer) for capability in plugins.load(["chat_here:both"])] == ["chat/1", "chat/2"]
    assert [capability.name for capability in plugins.load(["chat_here:one"])] == ["room"]


def test_what_the_module_imports_later_is_found_in_the_current_directory(directory):
    plugins.load(["chat_here:Chat"])
    assert sys.path.count(str(directory)) == 1
    plugins.load(["package.sub:Chat"])
    assert sys.path.count(str(directory)) == 1


@pytest.mark.parametrize("value", ["chat_here:Chat", "chat_here : Chat", "chat_here:Chat [voice]"])
def test_an_installed_plugin(value, install):
    install("chat-for-devp2p", talk=value)
    (capability,) = plugins.load(["talk"])
    assert type(capability).__name__ == "Chat"


def test_plugins_of_other_groups_do_not_count(install, tmp_path):
    install("other", talk="chat_here:Chat")
    path = tmp_path / "site-other" / "other-1.5.dist-info" / "entry_points.txt"
    path.write_text(path.read_text().replace(plugins.GROUP, "console_scripts"))
    with pytest.raises(Failure, match="there is no plugin 'talk'; no plugin is installed"):
        plugins.load(["talk"])


def test_a_plugin_that_is_not_installed_lists_those_that_are(install):
    install("chat-for-devp2p", talk="chat_here:Chat")
    install("rooms", room="chat_here:Room")
    with pytest.raises(Failure) as caught:
        plugins.load(["chat"])
    assert str(caught.value) == (
        "there is no plugin 'chat'; installed plugins: room (chat_here:Room of rooms 1.5), talk (chat_here:Chat of chat-for-devp2p 1.5); "
        "a class in a module is named module:Class"
    )


def test_a_name_that_two_distributions_use_is_not_guessed(install):
    install("one", talk="chat_here:Chat")
    install("two", talk="chat_here:Outer.Inner")
    with pytest.raises(Failure, match=r"^plugin 'talk' could be chat_here:Chat of one 1.5 and chat_here:Outer.Inner of two 1.5; say which"):
        plugins.load(["talk"])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("gone:Chat", "plugin talk of chats 1.5: there is no module 'gone'"),
        ("chat_here:Gone", "plugin talk of chats 1.5: there is no 'Gone' in the module; its capabilities: Chat, Room, Silent"),
        ("chat_here", "plugin talk of chats 1.5: 'chat_here:' is not of the form module:Class"),
    ],
)
def test_a_broken_plugin_is_named_with_its_distribution(value, problem, install):
    install("chats", talk=value)
    with pytest.raises(Failure) as caught:
        plugins.load(["talk"])
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gone:Chat", "there is no module 'gone', neither in this directory ("),
        ("package.gone:Chat", "there is no module 'package.gone'"),
        ("chat_here.gone:Chat", "there is no module 'chat_here.gone'"),
        ("chat_here:Gone", "there is no 'Gone' in the module; its capabilities: Chat, Room, Silent, Nameless, Failing, Chat2"),
        ("chat_here:Outer.Gone", "there is no 'Outer.Gone' in the module"),
        ("empty:Chat", "there is no 'Chat' in the module; its capabilities: none"),
        ("chat_here:Say", "Say is no capability; it has to be a subclass of devp2p.Capability"),
        ("chat_here:dataclass", "dataclass() makes a function, where a capability is wanted"),
        ("chat_here:none", "none() makes none, where a capability is wanted, or a tuple of several"),
        ("chat_here:classes", "classes() makes Chat, where a capability is wanted"),
        ("chat_here:named", "named() wants arguments (missing a required argument: 'title')"),
        ("chat_here:CHAT", "there is no 'CHAT' in the module"),
        ("chat_here:__file__", "a str is no capability"),
        ("chat_here:Silent", "Silent does not define run()"),
        ("chat_here:Room", "Room() wants arguments (missing a required argument: 'title'); make one in a module, and name that object"),
        ("chat_here:Nameless", "Nameless does not set 'name'"),
        ("wrong:Long", "Long: a capability's name is 1 to 8 ASCII characters"),
        ("chat_here:", "'chat_here:' is not of the form module:Class"),
        (":Chat", "':Chat' is not of the form module:Class"),
        ("..chat_here:Chat", "'..chat_here:Chat' is not of the form module:Class"),
        ("chat_here.py:Chat", "a file is named as Python imports it: chat_here:Chat"),
        ("./package/sub.py:Chat", "a file is named as Python imports it: package.sub:Chat"),
        ("package/sub.py", "a file is named as Python imports it, with the class behind it: package.sub:Class"),
    ],
)
def test_what_cannot_be_loaded_is_explained(name, problem):
    with pytest.raises(Failure) as caught:
        plugins.load([name])
    assert str(caught.value).startswith(f"capability {name}: {problem}")


def test_one_capability_twice():
    with pytest.raises(Failure, match=r"^capability package\.sub:Chat: there is a chat/1 already$"):
        plugins.load(["chat_here:Chat", "package.sub:Chat"])


@pytest.mark.parametrize(
    ("name", "error"), [("wants_more:X", ModuleNotFoundError), ("fails:X", ZeroDivisionError), ("chat_here:Failing", ZeroDivisionError)]
)
def test_an_error_of_the_capability_itself_is_left_to_its_author(name, error):
    with pytest.raises(error):
        plugins.load([name])
