"""What a user agent string says about a client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UserAgent:
    """The family of the browser and of the operating system, and the kind of device, each None if it is unknown.

    `device` is `desktop`, `mobile`, `tablet`, `tv`, `console` or `wearable`. A bot has neither a system nor a device.
    """

    browser: str | None
    system: str | None
    device: str | None
    is_bot: bool
