"""Browsers, systems, devices and bots by user agent."""

import json
import random
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from is_bot import Bots

from member_analyzer.streams.interactions import user_agents
from member_analyzer.streams.interactions.user_agent import UserAgent
from member_analyzer.streams.interactions.user_agents import LONGEST_USER_AGENT, classify_user_agent

DATA = Path(__file__).parents[3] / "shared" / "data"

IPHONE = "iPhone; CPU iPhone OS 17_2 like Mac OS X"
NOBODY = UserAgent(browser=None, system=None, device=None, is_bot=False)


def mozilla(platform: str, browser: str) -> str:
    return f"Mozilla/5.0 ({platform}) AppleWebKit/537.36 (KHTML, like Gecko) {browser}"


def user_agents_of(name: str) -> list[str]:
    """The user agents in a file of recorded ones."""
    if not DATA.is_dir():
        pytest.skip(f"no recorded user agents in {DATA}")
    groups = yaml.safe_load((DATA / name).read_text(encoding="utf-8"))
    return [text for texts in groups.values() for text in texts]


@pytest.mark.parametrize(
    ("browser", "system", "device", "text"),
    [
        ("Chrome", "Windows", "desktop", mozilla("Windows NT 10.0; Win64; x64", "Chrome/120.0.0.0 Safari/537.36")),
        ("Edge", "Windows", "desktop", mozilla("Windows NT 10.0", "Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0")),
        (
            "Firefox",
            "Linux",
            "desktop",
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
        ),
        ("Chrome", "Chrome OS", "desktop", mozilla("X11; CrOS x86_64 14541.0.0", "Chrome/120.0.0.0 Safari/537.36")),
        ("Safari", "macOS", "desktop", mozilla("Macintosh; Intel Mac OS X 10_15_7", "Version/17.2 Safari/605.1.15")),
        ("IE", "Windows", "desktop", "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; Tablet PC 2.0; rv:11.0) like Gecko"),
        ("Chrome", "Android", "mobile", mozilla("Linux; Android 10; K", "Chrome/124.0.0.0 Mobile Safari/537.36")),
        ("Chrome", "iOS", "mobile", mozilla(IPHONE, "CriOS/120.0 Mobile/15E148 Safari/604.1")),
        ("Safari", "iOS", "mobile", mozilla(IPHONE, "Version/17.2 Mobile/15E148 Safari/604.1")),
        ("Firefox", "Android", "mobile", "Mozilla/5.0 (Android 13; Mobile; rv:120.0) Gecko/120.0 Firefox/120.0"),
        (
            "Android Browser",
            "Android",
            "mobile",
            mozilla("Linux; U; Android 4.0.3", "Version/4.0 Mobile Safari/534.30"),
        ),
        ("Chrome", "Android", "tablet", mozilla("Linux; Android 13", "Chrome/120.0.0.0 Safari/537.36")),
        ("Chrome", "Android", "tablet", mozilla("Linux; Android 13; SM-X700", "Chrome/120.0.0.0 Mobile Safari/537.36")),
        (
            "Safari",
            "iOS",
            "tablet",
            mozilla("iPad; CPU OS 12_4 like Mac OS X", "Version/12.1 Mobile/15E148 Safari/604.1"),
        ),
        ("Chrome", "webOS", "tv", mozilla("Web0S; Linux/SmartTV", "Chrome/94.0.4606.128 Safari/537.36")),
        (
            "Amazon Silk",
            "Android",
            "tv",
            mozilla("Linux; Android 9; AFTMM", "Silk/94.3 like Chrome/94.0 Safari/537.36"),
        ),
        (
            "Edge",
            "Windows",
            "console",
            mozilla("Windows NT 10.0; Xbox; Xbox One", "Chrome/64.0 Safari/537.36 Edge/17.1"),
        ),
        (
            "Oculus Browser",
            "Android",
            "wearable",
            mozilla("X11; Linux; Quest 3", "OculusBrowser/32.1.0 VR Safari/537.36"),
        ),
        # Apps: by the component that shows a page, by name, by the component that sends requests.
        ("Safari (in-app)", "iOS", "mobile", mozilla(IPHONE, "Mobile/15E148")),
        (
            "Android WebView",
            "Android",
            "mobile",
            mozilla("Linux; Android 13; wv", "Version/4.0 Chrome/119.0.0.0 Mobile"),
        ),
        ("Facebook", "iOS", "mobile", mozilla(IPHONE, "Mobile/15E148 [FBAN/FBIOS;FBAV/440.0]")),
        (None, "Android", "mobile", "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A.230805.001)"),
        (None, "iOS", "mobile", "Shop/42 CFNetwork/1490.0.4 Darwin/23.2.0"),
    ],
)
def test_a_client_has_a_browser_a_system_and_a_device(browser: str | None, system: str, device: str, text: str) -> None:
    assert classify_user_agent(text) == UserAgent(browser, system, device, is_bot=False)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot"),
        (mozilla("Linux; Android 6.0.1", "Chrome/120.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)"), "Googlebot"),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "AhrefsBot"),
        (mozilla("X11; Linux x86_64", "HeadlessChrome/120.0.0.0 Safari/537.36"), "HeadlessChrome"),
        ("python-requests/2.32.3", "Python Requests"),
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0 (compatible; Xqzbot/1.0)", None),
    ],
)
def test_a_bot_has_only_a_name(text: str, name: str | None) -> None:
    assert classify_user_agent(text) == UserAgent(name, system=None, device=None, is_bot=True)


@pytest.mark.parametrize("text", [None, "", " ", "\t\r\n", "\0", "\u200b\u2060"])
def test_nothing_is_known_without_a_user_agent(text: str | None) -> None:
    assert classify_user_agent(text) == NOBODY


def test_all_recorded_bots_are_found_and_no_people() -> None:
    bots, people = user_agents_of("user-agents-crawlers.yml"), user_agents_of("user-agents-browsers.yml")
    assert len(bots) > 600
    assert len(people) > 500
    assert [text for text in bots if not classify_user_agent(text).is_bot] == []
    assert [text for text in people if classify_user_agent(text).is_bot] == []


def test_people_in_a_real_web_log_have_a_browser_a_system_and_a_device() -> None:
    log = DATA / "weblog.ndjson"
    if not log.is_file():
        pytest.skip(f"no web log at {log}")
    found = [
        classify_user_agent(json.loads(line)["user_agent"]) for line in log.read_text(encoding="utf-8").splitlines()
    ]
    people = [one for one in found if not one.is_bot]
    assert 0.6 < len(people) / len(found) < 0.8
    for name in ("browser", "system", "device"):
        assert sum(getattr(one, name) is not None for one in people) > 0.98 * len(people), name


@settings(max_examples=1000)
@given(st.text(max_size=60) | st.text(st.sampled_from("Mozila/5.0 (;)+bot:\0\ud800\U0001f600"), max_size=600))
def test_any_text_is_classified(text: str) -> None:
    assert isinstance(classify_user_agent(text), UserAgent)


@settings(max_examples=500)
@given(st.text(string.printable, max_size=60))
def test_the_native_engine_finds_the_bots_that_isbot_finds(text: str) -> None:
    text = " ".join(text.split())
    assert classify_user_agent(text).is_bot == (bool(text) and Bots().is_bot(text))


def test_only_the_beginning_of_a_long_text_counts() -> None:
    agent = mozilla("Windows NT 10.0", "Chrome/120.0.0.0 Safari/537.36 ").ljust(LONGEST_USER_AGENT, "x")
    assert classify_user_agent(agent + "; Googlebot/2.1" * 100_000) == UserAgent("Chrome", "Windows", "desktop", False)


def test_white_space_and_invisible_characters_change_nothing() -> None:
    agent = mozilla("Windows NT 10.0", "Chrome/120.0.0.0 Safari/537.36")
    assert classify_user_agent(f" \u200b{agent.replace(' ', chr(9))}\r\n") == classify_user_agent(agent)


def test_clients_cannot_invent_names() -> None:
    chance = random.Random(7)
    names = set()
    for _ in range(300):
        word = "".join(chance.choices(string.ascii_letters, k=12))
        for text in (
            f"{word}/1.0 CFNetwork/1490.0.4 Darwin/23.2.0",
            f"Mozilla/5.0 (compatible; {word}bot/1.0; +https://{word}.example)",
            mozilla(f"Linux; Android 10; {word}", f"{word}/1.0 Chrome/124.0 Mobile Safari/537.36"),
            f"Mozilla/5.0 HbbTV/1.2.1 (; {word} ;{word};2015)",
            f"{word} {word[::-1]}/2.0",
        ):
            found = classify_user_agent(text)
            names |= {found.browser, found.system, found.device}
    assert len(names) < 20


def test_the_cache_is_bounded() -> None:
    for number in range(user_agents._CACHED + 100):
        classify_user_agent(f"{number}" * 200)
    assert user_agents._classify.cache_info().currsize == user_agents._CACHED
