"""Classification of user agent strings into browsers, systems, devices and bots.

Bots are found by the patterns of isbot (package `is-bot`), browsers and systems by the rules of uap-core (package
`ua-parser`), devices by rules of our own, because uap-core only has models. The native engine of `ua-parser` runs all
of them.
Pure.
"""

import re
from functools import cache, lru_cache

from is_bot import Bots
from ua_parser import Domain, load_lazy_builtins
from ua_parser import UserAgent as BrowserFamily
from ua_parser.core import Matcher
from ua_parser.lazy import UserAgentMatcher
from ua_parser.regex import Resolver

from member_analyzer.records.text import normalize_text
from member_analyzer.streams.interactions.user_agent import UserAgent

# Known clients send at most 400 characters. The rest is ignored, so that a hostile string costs a bounded time (1 ms).
LONGEST_USER_AGENT = 512
# At most 20 MB, if all strings are as long as possible and have characters of four bytes.
_CACHED = 8192

_UNKNOWN = UserAgent(browser=None, system=None, device=None, is_bot=False)

# Families of uap-core that depend on the device, which is counted by itself, or have a better-known name.
_BROWSERS = {
    "Android": "Android Browser",
    "BlackBerry": "BlackBerry Browser",
    "BlackBerry WebKit": "BlackBerry Browser",
    "Chrome Frame": "IE",
    "Chrome Mobile": "Chrome",
    "Chrome Mobile WebView": "Android WebView",
    "Chrome Mobile iOS": "Chrome",
    "DuckDuckGo Mobile": "DuckDuckGo",
    "Edge Mobile": "Edge",
    "Firefox Alpha": "Firefox",
    "Firefox Beta": "Firefox",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "IE Large Screen": "IE",
    "IE Mobile": "IE",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari (in-app)",
    "Opera Coast": "Opera",
    "Opera Mobile": "Opera",
    "Opera Tablet": "Opera",
    "QQ Browser Mini": "QQ Browser",
    "QQ Browser Mobile": "QQ Browser",
    "Quark PC": "Quark",
    "YandexSearch": "Yandex Browser",
}
# Bots whose names uap-core takes from the text by a general rule.
_CRAWLERS = frozenset(
    {
        *("AdsBot-Google", "AhrefsBot", "Amazonbot", "Applebot", "Baiduspider", "Bytespider", "CCBot", "ClaudeBot"),
        *("DotBot", "DuckDuckBot", "GPTBot", "Googlebot-Image", "Googlebot-News", "Googlebot-Video", "MJ12bot"),
        *("OAI-SearchBot", "PerplexityBot", "PetalBot", "SemrushBot", "SeznamBot", "TelegramBot", "UptimeRobot"),
        *("YandexBot", "YandexImages", "YandexMobileBot", "redditbot"),
    }
)

# The system by each family of uap-core; other families are makers of televisions.
_SYSTEMS = {
    **{
        name: name
        for name in (
            *("Android", "BREW", "Bada", "BlackBerry OS", "Chrome OS", "Firefox OS", "FreeBSD", "GoogleTV"),
            *("HarmonyOS", "KaiOS", "Kindle", "Linux", "Maemo", "MeeGo", "NetBSD", "Nokia Series 30 Plus"),
            *("Nokia Series 40", "OpenBSD", "Roku", "Sailfish", "Solaris", "Symbian OS", "Tizen", "WebTV", "Windows"),
            *("Windows Mobile", "Windows Phone", "iOS", "tvOS", "webOS"),
        )
    },
    **dict.fromkeys(
        (
            *("Arch Linux", "BackTrack", "CentOS", "Debian", "Fedora", "Gentoo", "Kubuntu", "Linux Mint", "Lubuntu"),
            *("Mageia", "Mandriva", "PCLinuxOS", "Puppy", "Red Hat", "SUSE", "Slackware", "Ubuntu", "openSUSE"),
        ),
        "Linux",
    ),
    **dict.fromkeys(
        ("Chromecast Android", "Chromecast Fuchsia", "Chromecast Linux", "Chromecast SmartSpeaker"), "Chromecast"
    ),
    **dict.fromkeys(("Symbian^3", "Symbian^3 Anna", "Symbian^3 Belle"), "Symbian OS"),
    "ATV OS X": "tvOS",
    "BlackBerry Tablet OS": "BlackBerry OS",
    "Brew MP": "BREW",
    "FireHbbTV": "Fire OS",
    "Mac OS": "macOS",
    "Mac OS X": "macOS",
    "WatchOS": "watchOS",
    "Web0S": "webOS",
}

# The device by the first pattern that matches. What a device states about itself comes before what its browser states
# for compatibility: a television may name the system of a computer, and a tablet that of a phone.
_DEVICES = (
    (r"PlayStation|PLAYSTATION|Playstation|\bXbox|\bXBOX|Nintendo|\bPS[345]\b|Steam Deck", "console"),
    (r"\bTV\b|[a-z]TV\b|_TV\b|S(?:mart|MART)-?TV|\bTV[ _-]?(?i:box)|(?i:smart ?box|mi ?box)|\bOTT\b|\bSTB\b", "tv"),
    (r"AppleTV|BRAVIA|Bravia|CrKey|NetCast|Nexus Player|Roku|SHIELD Android|VIDAA|VIZIO|Vizio|\bViera\b|\bTiVo", "tv"),
    (r"CE-HTML|Espial|Large Screen|Maple20\d\d|OPR/\S+ OMI/|Web0S|webOS\.TV|LED\d\d|\bATV\d|\bAFT[A-Z]+\b", "tv"),
    (r"Watch\b|\bWatch\d|watchOS|\bSM-R\d|OculusBrowser|\bQuest (?:\d\b|Pro)|VR Safari|Mobile VR", "wearable"),
    # Not `Tablet PC`, a component of Windows.
    (r"\bTablet(?:$|[^ \w]| [^P])|iPad|[a-z][Pp]ad\b|\bPad\b|\bTab\b|PlayBook|Xoom|Nexus (?:7|9|10)\b", "tablet"),
    (r"Kindle|\bSilk/|\bKF[A-Z]{2,}|\bSM-[TPX]\d|\bGT-[PN]\d", "tablet"),
    (r"Chromebook|CrOS", "desktop"),
    (r"(?i)mobile|phone|ipod|blackberry|\bbb10|symbian|series ?[3-9]0|opera mini|midp|nokia|\bwap\b|\bup\.", "mobile"),
    (r"(?i)dalvik|j2me|palm|lumia|maui|docomo|netfront", "mobile"),
)
# The system's own component with which apps send requests.
_APP = re.compile(r"\b(?:CFNetwork|Dalvik)/")
_DESKTOP_SYSTEMS = frozenset({"Chrome OS", "FreeBSD", "Linux", "NetBSD", "OpenBSD", "Solaris", "Windows", "macOS"})
_MOBILE_SYSTEMS = frozenset(_SYSTEMS.values()) - _DESKTOP_SYSTEMS - {"Chromecast", "Roku", "WebTV"}


def classify_user_agent(text: str | None) -> UserAgent:
    """Classify a user agent string, whatever it contains; equal results for equal first LONGEST_USER_AGENT characters.

    Without any text nothing is known, and it is not a bot: SDKs on servers report what people do without a user agent.
    The browser of an app that shows a page is a component (`Android WebView`, `Safari (in-app)`); that of other apps is
    None. An iPad whose browser requests desktop sites, the default since iPadOS 13, states that it is a Mac. The
    browser of a bot is its name, if that is well known.

    All names come from finite lists, so clients cannot create any number of them.
    """
    return _UNKNOWN if text is None else _classify(text[:LONGEST_USER_AGENT])


@lru_cache(maxsize=_CACHED)
def _classify(text: str) -> UserAgent:
    # The native engine reads only text that can be encoded.
    text = normalize_text(text.encode("utf-8", "replace").decode())
    if not text:
        return _UNKNOWN
    found = _family_rules()(text, Domain.USER_AGENT | Domain.OS)
    browser = None if found.user_agent is None else _browser(found.user_agent.family)
    if _is_bot(text):
        return UserAgent(browser, system=None, device=None, is_bot=True)
    system = None if found.os is None else _SYSTEMS.get(found.os.family)
    return UserAgent(None if _APP.search(text) else browser, system, _device(text, system), is_bot=False)


def _browser(family: str) -> str | None:
    # Firefox (Minefield)
    family = family.partition(" (")[0]
    name = _BROWSERS.get(family, family)
    return name if name in _browser_names() else None


def _device(text: str, system: str | None) -> str | None:
    stated = _device_rules()(text, Domain.USER_AGENT).user_agent
    if stated is not None:
        return stated.family
    if system == "Android" and text.startswith("Mozilla/"):
        # Browsers on Android state `Mobile` on phones only.
        return "tablet"
    if system in _DESKTOP_SYSTEMS:
        return "desktop"
    return "mobile" if system in _MOBILE_SYSTEMS else None


def _is_bot(text: str) -> bool:
    native, others = _bot_rules()
    return native(text, Domain.USER_AGENT).user_agent is not None or (others is not None and others.is_bot(text))


@cache
def _family_rules() -> Resolver:
    browsers, systems, _ = load_lazy_builtins()
    return Resolver((browsers, systems, []))


@cache
def _device_rules() -> Resolver:
    # The engine combines all rules into one search.
    rules: list[Matcher[BrowserFamily]] = [UserAgentMatcher(pattern, device) for pattern, device in _DEVICES]
    return Resolver((rules, [], []))


@cache
def _bot_rules() -> tuple[Resolver, Bots | None]:
    """The patterns of isbot for the native engine, which is seven times as fast, and those with syntax it lacks."""
    native: list[Matcher[BrowserFamily]] = []
    others = []
    for pattern in sorted(Bots().patterns):
        # The engine has no option for this.
        rule = UserAgentMatcher(f"(?i){pattern}", "bot")
        try:
            Resolver(([rule], [], []))
        except ValueError:
            others.append(pattern)
        else:
            native.append(rule)
    return Resolver((native, [], [])), Bots(others) if others else None


_NAME_END = re.compile(r"\(\?:|[()|^$/?:*\[\]{}]|\\[bdsw]", re.IGNORECASE)


@cache
def _browser_names() -> frozenset[str]:
    """Our own names, and all that the rules spell out. Other names are parts of the classified text."""
    names = {*_BROWSERS.values(), *_CRAWLERS}
    for rule in load_lazy_builtins()[0]:
        names.update(_NAME_END.split(rule.regex.replace("\\.", ".").replace("\\-", "-")))
        if isinstance(rule, UserAgentMatcher):
            names.add(rule.family)
    return frozenset(names - {"", "$1"})
