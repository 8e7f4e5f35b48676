"""A run is followed to its end, also while Airflow is unavailable for a moment."""

from typing import Any

import pytest
import requests

from member_analyzer.operations.airflow import AirflowClient, AirflowError, AirflowUnavailableError, DagRun
from member_analyzer.settings import AirflowSettings

STARTED = DagRun("user_create", "one", "queued")


class Session(requests.Session):
    """Gives these answers, one after the other, after the login: a status and a state, or an error."""

    def __init__(self, *answers: tuple[int, str] | requests.RequestException) -> None:
        super().__init__()
        self._answers = iter([(201, ""), *answers])

    def request(self, *_: Any, **__: Any) -> requests.Response:
        answer = next(self._answers)
        if isinstance(answer, requests.RequestException):
            raise answer
        response = requests.Response()
        response.status_code = answer[0]
        response._content = f'{{"access_token": "token", "state": "{answer[1]}"}}'.encode()
        return response


def client(*answers: tuple[int, str] | requests.RequestException) -> AirflowClient:
    return AirflowClient(AirflowSettings(url="http://127.0.0.1:9", username="x", password="x"), Session(*answers))


@pytest.mark.parametrize(
    "answer", [(500, ""), (503, ""), requests.ConnectionError("refused"), requests.ReadTimeout("asleep")]
)
def test_a_run_is_followed_while_airflow_is_unavailable(answer: tuple[int, str] | requests.RequestException) -> None:
    followed = client((200, "running"), answer, (200, "success"))
    assert followed.wait_for_run(STARTED, seconds=60).state == "success"


def test_an_airflow_that_stays_unavailable_is_named() -> None:
    with pytest.raises(AirflowError, match=r"did not end in 0 seconds\. Airflow at .* does not answer: refused"):
        client(requests.ConnectionError("refused")).wait_for_run(STARTED, seconds=0)


def test_a_refusal_is_not_asked_for_again() -> None:
    with pytest.raises(AirflowError, match="status 404") as raised:
        client((404, ""), (200, "success")).wait_for_run(STARTED, seconds=60)
    assert not isinstance(raised.value, AirflowUnavailableError)
