"""The collector and the console: configuration, Ingress and scaling."""

from typing import Any

import jmespath
import pytest

from combinations import AUTOSCALING, CERTIFICATES, EXTERNAL_POSTGRES, FILES
from member_analyzer.settings import (
    AirflowSettings,
    CassandraSettings,
    CollectorSettings,
    ConsoleSettings,
    GraphSettings,
    KafkaSettings,
    LandingSettings,
    ProgramSettings,
    RegistrySettings,
    RejectedSettings,
)
from rendering import PLATFORM, Helm, Object, RenderError, Values
from workloads import Workload, workloads
from workloads import find as workloads_find

PROGRAMS = {"collector": 8001, "console": 8002}
CLIENT_OF = (LandingSettings, KafkaSettings, RegistrySettings, CassandraSettings)
SETTINGS: dict[str, tuple[type[ProgramSettings], ...]] = {
    "collector": (*CLIENT_OF, CollectorSettings, RejectedSettings),
    "console": (*CLIENT_OF, AirflowSettings, GraphSettings, ConsoleSettings),
}
every_program = pytest.mark.parametrize("program", PROGRAMS)


def pod(objects: list[Object], program: str) -> Workload:
    [found] = [one for one in workloads(objects) if one.name == f"Deployment/{PLATFORM}-{program}"]
    return found


def environment(objects: list[Object], program: str) -> dict[str, str]:
    """The variables of the program, with a placeholder for references."""
    [container] = pod(objects, program).spec["containers"]
    return {one["name"]: one.get("value", "referred") for one in container["env"]}


def names(objects: list[Object], kind: str) -> set[str]:
    return {one["metadata"]["name"].removeprefix(f"{PLATFORM}-") for one in objects if one["kind"] == kind}


def find(objects: list[Object], kind: str, name: str) -> Object:
    return workloads_find(objects, kind, f"{PLATFORM}-{name}")


class TestSettings:
    @every_program
    @pytest.mark.parametrize("values", [(), (EXTERNAL_POSTGRES,), (CERTIFICATES,)], ids=["default", "external", "TLS"])
    def test_their_settings_are_valid(self, helm: Helm, program: str, values: tuple[Values, ...]) -> None:
        variables = environment(helm.render(*values), program)
        for settings in SETTINGS[program]:
            settings.of(variables)

    @every_program
    def test_every_variable_is_a_setting(self, helm: Helm, program: str) -> None:
        read = {
            f"{settings.model_config['env_prefix']}{field}".upper()
            for settings in SETTINGS[program]
            for field in settings.model_fields
        }
        assert environment(helm.render(), program).keys() <= read

    def test_rate_limit_and_connections_are_configurable(self, helm: Helm) -> None:
        objects = helm.render({"collector": {"requestsPerSecond": 2_000_000, "connections": 3}})
        settings = CollectorSettings.of(environment(objects, "collector"))
        assert (settings.requests_per_second, settings.connections) == (2_000_000, 3)

    def test_the_console_has_the_addresses_of_the_programs(self, helm: Helm) -> None:
        objects = helm.render()
        settings = ConsoleSettings.of(environment(objects, "console"))
        assert settings.collector_url == "http://member-analyzer-collector:8001"
        assert settings.user_api_health_url == "http://member-analyzer-user-api:8000/healthz"
        # The Spark operator creates this Service.
        [stream] = names(objects, "SparkApplication")
        assert settings.spark_url == f"http://{PLATFORM}-{stream}-ui-svc:4040"

    def test_the_console_gets_its_namespace(self, helm: Helm) -> None:
        [container] = pod(helm.render(), "console").spec["containers"]
        [namespace] = [one for one in container["env"] if one["name"] == "CONSOLE_NAMESPACE"]
        assert namespace["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}

    @pytest.mark.parametrize(
        ("values", "variable"),
        [
            ({"userApi": {"url": "https://api.example/"}}, "CONSOLE_USER_API_HEALTH_URL"),
            ({"collector": {"enabled": False}}, "CONSOLE_COLLECTOR_URL"),
        ],
    )
    def test_the_console_has_no_address_of_a_disabled_program(self, helm: Helm, values: Values, variable: str) -> None:
        assert not environment(helm.render(values), "console").get(variable)

    def test_the_console_mounts_the_graphs_read_only(self, helm: Helm) -> None:
        objects = helm.render()
        spec = pod(objects, "console").spec
        [graphs] = [one["name"] for one in spec["volumes"] if "persistentVolumeClaim" in one]
        [mount] = [one for one in spec["containers"][0]["volumeMounts"] if one["name"] == graphs]
        assert mount == {
            "name": graphs,
            "mountPath": environment(objects, "console")["GRAPHS_DIRECTORY"],
            "readOnly": True,
        }

    def test_the_console_uses_the_group_of_the_graphs(self, helm: Helm) -> None:
        """With another group, each start of the console would change the owner of the volume."""
        tasks = helm.values(PLATFORM)["airflow"]["securityContexts"]["pod"]
        assert pod(helm.render(), "console").spec["securityContext"]["fsGroup"] == tasks["fsGroup"]

    def test_the_role_of_the_console_only_allows_reading_pods(self, helm: Helm) -> None:
        objects = helm.render()
        assert find(objects, "Role", "console")["rules"] == [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
        ]
        binding = find(objects, "RoleBinding", "console")
        assert [one["name"] for one in binding["subjects"]] == ["member-analyzer-console"]
        assert binding["roleRef"]["name"] == "member-analyzer-console"


class TestIngress:
    def test_it_is_disabled_by_default(self, helm: Helm) -> None:
        assert names(helm.render(), "Ingress") == set()

    def test_only_the_api_of_the_collector_and_its_documentation_are_exposed(self, helm: Helm) -> None:
        assert paths(find(helm.render(CERTIFICATES), "Ingress", "collector")) == {
            ("/v1", "Prefix"), ("/docs", "Prefix"), ("/openapi.json", "Exact"),
            ("/beacon", "Prefix"), ("/sourceConfig", "Prefix"), ("/api/s", "Prefix"),
        }  # fmt: skip
        assert paths(find(helm.render(CERTIFICATES), "Ingress", "console")) == {("/", "Prefix")}

    @every_program
    def test_it_routes_to_the_service(self, helm: Helm, program: str) -> None:
        wanted = {"enabled": True, "host": "a.example", "className": "outside", "annotations": {"b.example/c": "d"}}
        objects = helm.render({program: {"ingress": wanted}})
        ingress = find(objects, "Ingress", program)
        assert (ingress["spec"]["ingressClassName"], ingress["metadata"]["annotations"]) == (
            "outside",
            {"b.example/c": "d"},
        )
        assert jmespath.search("spec.rules[].host", ingress) == ["a.example"]
        backends = jmespath.search("spec.rules[].http.paths[].backend.service.[name, port.name][]", ingress)
        assert set(backends) == {f"{PLATFORM}-{program}", "http"}
        [port] = find(objects, "Service", program)["spec"]["ports"]
        assert (port["name"], port["port"]) == ("http", PROGRAMS[program])
        assert "tls" not in ingress["spec"]

    @every_program
    def test_its_certificate_is_for_its_host(self, helm: Helm, program: str) -> None:
        ingress = find(helm.render(CERTIFICATES), "Ingress", program)
        assert ingress["spec"]["tls"] == [{"hosts": [f"{program}.example"], "secretName": f"{program}-tls"}]

    @pytest.mark.parametrize(
        ("values", "secure"),
        [
            ((), False),
            ((CERTIFICATES,), True),
            (({"console": {"ingress": {"enabled": True, "host": "a.example"}}},), False),
            (({"console": {"ingress": {"tlsSecret": "tls"}}},), False),
            (({"console": {"secureCookies": "always"}},), True),
            ((CERTIFICATES, {"console": {"secureCookies": "never"}}), False),
            ((CERTIFICATES, {"console": {"secureCookies": "always"}}), True),
        ],
    )
    def test_cookies_are_secure_if_the_ingress_has_a_certificate(
        self, helm: Helm, values: tuple[Values, ...], secure: bool
    ) -> None:
        assert ConsoleSettings.of(environment(helm.render(*values), "console")).secure_cookies is secure

    @every_program
    def test_forwarding_headers_are_trusted_only_from_given_controllers(self, helm: Helm, program: str) -> None:
        assert "FORWARDED_ALLOW_IPS" not in environment(helm.render(CERTIFICATES), program)
        named = {program: {"ingress": {"controllers": ["10.1.0.0/16", "10.2.0.1"]}}}
        assert environment(helm.render(CERTIFICATES, named), program)["FORWARDED_ALLOW_IPS"] == "10.1.0.0/16,10.2.0.1"


def paths(ingress: Object) -> set[tuple[str, str]]:
    found = jmespath.search("spec.rules[].http.paths[].[path, pathType]", ingress)
    return {(path, kind) for path, kind in found}


class TestScaling:
    @every_program
    def test_autoscaling_has_bounds(self, helm: Helm, program: str) -> None:
        bounds = {"enabled": True, "minReplicas": 3, "maxReplicas": 9, "targetCPU": 55}
        objects = helm.render({program: {"autoscaling": bounds}})
        spec = find(objects, "HorizontalPodAutoscaler", program)["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
        assert jmespath.search("metrics[].resource.[name, target.averageUtilization][]", spec) == ["cpu", 55]
        deployment = find(objects, "Deployment", program)
        assert spec["scaleTargetRef"] == {
            "apiVersion": deployment["apiVersion"],
            "kind": "Deployment",
            "name": f"{PLATFORM}-{program}",
        }
        # An upgrade would reset the number.
        assert "replicas" not in deployment["spec"]

    @every_program
    @pytest.mark.parametrize("several", [{"replicas": 2}, {"autoscaling": {"enabled": True}}], ids=["fixed", "scaled"])
    def test_several_replicas_are_spread_and_have_a_disruption_budget(
        self, helm: Helm, program: str, several: dict[str, Any]
    ) -> None:
        objects = helm.render({program: several})
        assert pod(objects, program).spec["topologySpreadConstraints"]
        assert program in names(objects, "PodDisruptionBudget")

    @every_program
    def test_a_single_replica_has_neither(self, helm: Helm, program: str) -> None:
        objects = helm.render({program: {"autoscaling": {"enabled": True, "minReplicas": 1, "maxReplicas": 1}}})
        assert "topologySpreadConstraints" not in pod(objects, program).spec
        assert program not in names(objects, "PodDisruptionBudget")

    def test_in_production_a_collector_may_fail(self, helm: Helm) -> None:
        objects = helm.render(FILES / "values-production.yaml")
        assert find(objects, "HorizontalPodAutoscaler", "collector")["spec"]["minReplicas"] >= 2
        assert names(objects, "PodDisruptionBudget") >= {"collector"}

    def test_all_collectors_together_leave_connections_of_postgresql(self, helm: Helm) -> None:
        values = helm.values(PLATFORM)["collector"]
        most = max(values["autoscaling"]["maxReplicas"], 6)
        assert most * values["connections"] <= 60

    def test_autoscaling_is_disabled_by_default(self, helm: Helm) -> None:
        assert names(helm.render(), "HorizontalPodAutoscaler") == set()
        assert names(helm.render(AUTOSCALING), "HorizontalPodAutoscaler") == set(PROGRAMS)


class TestShutdown:
    def test_a_terminating_collector_keeps_serving_for_a_while(self, helm: Helm) -> None:
        spec = pod(helm.render(), "collector").spec
        # The sleep action of Kubernetes is newer than the oldest supported version.
        [_, drain] = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert 0 < int(drain) < spec["terminationGracePeriodSeconds"] / 2

    @pytest.mark.parametrize("program", ["collector", "console"])
    def test_probes_do_not_depend_on_servers(self, helm: Helm, program: str) -> None:
        [container] = pod(helm.render(), program).spec["containers"]
        probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
        assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/healthz"}


@every_program
def test_a_disabled_program_has_no_objects(helm: Helm, program: str) -> None:
    own = helm.render({program: {"enabled": False}} | {}, own=True)
    label = "app.kubernetes.io/component"
    assert [one["metadata"]["name"] for one in own if one["metadata"]["labels"][label] == program] == []
    assert f"http://{PLATFORM}-{program}:" not in str([one for one in own if one["kind"] == "Pod"])


def test_without_web_programs_there_is_no_test_of_them(helm: Helm) -> None:
    own = helm.render({program: {"enabled": False} for program in PROGRAMS}, own=True)
    assert "test-web" not in names(own, "Pod")


@every_program
def test_an_ingress_without_a_host_is_rejected(helm: Helm, program: str) -> None:
    with pytest.raises(RenderError, match=f"{program}.ingress.host"):
        helm.render({program: {"ingress": {"enabled": True}}})
