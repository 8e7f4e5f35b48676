"""Waiting for a run, also while Airflow is temporarily unavailable."""

from typing import Any

import pytest
import requests

from member_analyzer.operations.airflow import AirflowClient, AirflowError, AirflowUnavailableError, DagRun
from member_analyzer.settings import AirflowSettings

STARTED = DagRun("user_create", "one", "queued")


class Session(requests.Session):
    """Returns these responses in order after the login: a status and a state, or an error."""

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
def test_waiting_continues_while_airflow_is_unavailable(answer: tuple[int, str] | requests.RequestException) -> None:
    airflow = client((200, "running"), answer, (200, "success"))
    assert airflow.wait_for_run(STARTED, seconds=60).state == "success"


def test_an_airflow_that_stays_unavailable_is_reported() -> None:
    with pytest.raises(AirflowError, match=r"did not end in 0 seconds\. Airflow at .* does not respond: refused"):
        client(requests.ConnectionError("refused")).wait_for_run(STARTED, seconds=0)


def test_a_client_error_is_not_retried() -> None:
    with pytest.raises(AirflowError, match="status 404") as raised:
        client((404, ""), (200, "success")).wait_for_run(STARTED, seconds=60)
    assert not isinstance(raised.value, AirflowUnavailableError)
