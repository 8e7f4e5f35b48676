"""The bundled user API."""

from datetime import datetime

from member_analyzer.local.environment import python
from member_analyzer.local.http import fetch_json
from member_analyzer.local.server import Server


class UserApi(Server):
    """The bundled server with an API like randomuser.me's."""

    name = "user-api"

    @property
    def ports(self) -> dict[str, int]:
        return {"LOCAL_USER_API_PORT": self.settings.user_api_port}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings.user_api_port}/api/"

    @property
    def command(self) -> list[str]:
        return [python(), "-m", "member_analyzer.fake_users", "--port", str(self.settings.user_api_port)]

    def check(self, started: datetime) -> None:
        """It returns a user."""
        fetch_json(self.address, results="1", seed="ready")
