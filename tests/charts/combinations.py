"""Combinations of values that must work."""

from rendering import Values
from tools import CHECKOUT

FILES = CHECKOUT / "k8s"
NETWORK_OFF: Values = {"networkPolicies": {"enabled": False}}
BUCKET: Values = {
    "stream": {
        "checkpoint": {"url": "s3a://bucket/checkpoint", "credentialsSecret": "bucket", "endpoint": "http://s3:9000"}
    }
}
BACKUPS: Values = {"cassandra": {"medusa": {"enabled": True, "bucket": "backups", "region": "eu", "host": "s3"}}}
EXTERNAL_POSTGRES: Values = {"postgres": {"external": {"host": "postgres.example", "port": 6432}}}

CERTIFICATES: Values = {
    "collector": {"ingress": {"enabled": True, "host": "collector.example", "tlsSecret": "collector-tls"}},
    "console": {"ingress": {"enabled": True, "host": "console.example", "tlsSecret": "console-tls"}},
}
AUTOSCALING: Values = {name: {"autoscaling": {"enabled": True}} for name in ("collector", "console")}

COMBINATIONS: dict[str, tuple[Values, ...]] = {
    "default": (),
    "kind": (FILES / "values-kind.yaml",),
    "minikube": (FILES / "values-minikube.yaml",),
    "development": (FILES / "values-kind.yaml", FILES / "values-dev.yaml"),
    "production": (FILES / "values-production.yaml",),
    "external PostgreSQL": (EXTERNAL_POSTGRES,),
    "a real user API": ({"userApi": {"url": "https://api.example/?key=hidden"}},),
    "a real user API with its URL in a Secret": ({"userApi": {"existingSecret": True}},),
    "no network policies": (NETWORK_OFF,),
    "additional peers of the pages": ({"networkPolicies": {"webFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}},),
    "a checkpoint in a bucket": (BUCKET,),
    "a checkpoint on a shared volume": ({"stream": {"checkpoint": {"volume": {"accessMode": "ReadWriteMany"}}}},),
    "dynamic allocation": (BUCKET, {"stream": {"dynamicAllocation": {"enabled": True}}}),
    "backups": (BACKUPS,),
    "no tunnel": ({"kafka": {"tunnel": {"enabled": False}}},),
    "several of everything": (
        {
            "kafka": {"brokers": 3, "zookeeper": {"replicas": 3}},
            "registry": {"replicas": 2},
            "userApi": {"replicas": 2},
            "collector": {"replicas": 2},
            "console": {"replicas": 2},
            "cassandra": {"nodes": 3, "replicationFactor": 3},
            "stream": {"executor": {"instances": 3}},
        },
    ),
    "ingresses": (
        {
            "collector": {"ingress": {"enabled": True, "host": "collector.example", "className": "nginx"}},
            "console": {"ingress": {"enabled": True, "host": "console.example", "annotations": {"a.example/b": "c"}}},
        },
    ),
    "ingresses with certificates": (CERTIFICATES,),
    "autoscaling": (AUTOSCALING,),
    "metrics for Prometheus": (
        {
            "collector": {"podAnnotations": {"prometheus.io/scrape": "true"}},
            "networkPolicies": {
                "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
                "apiServer": {"addresses": ["10.96.0.1/32"]},
            },
        },
    ),
    "no collector": ({"collector": {"enabled": False}},),
    "no console": ({"console": {"enabled": False}},),
    "a private image registry": (
        {
            "images": {
                "pullSecrets": [{"name": "pull"}],
                "spark": {"repository": "registry.example/spark", "tag": "1"},
                "web": {"repository": "registry.example/web", "tag": "1"},
            }
        },
    ),
    "storage classes": (
        {
            "postgres": {"storage": {"storageClassName": "slow"}},
            "kafka": {"storage": {"storageClassName": "slow"}, "zookeeper": {"storage": {"storageClassName": "slow"}}},
            "graphs": {"storageClassName": "slow"},
            "airflowLogs": {"storageClassName": "slow"},
            "stream": {"checkpoint": {"volume": {"storageClassName": "slow"}}},
        },
    ),
}
