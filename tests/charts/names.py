"""The names of the platform's objects: the release's name and a suffix, but for those that the chart cannot choose."""

from rendering import PLATFORM

# (kind, name) -> the value of Airflow's chart that contains the name. That chart does not render them as templates,
# so they cannot contain the release's name. Strimzi names the Secret of a KafkaUser after it.
FIXED = {
    ("Secret", "airflow-metadata"): "data.metadataSecretName",
    ("Secret", "airflow-fernet-key"): "fernetKeySecretName",
    ("Secret", "airflow-api-secret-key"): "apiSecretKeySecretName",
    ("Secret", "airflow-jwt-secret"): "jwtSecretName",
    ("Secret", "airflow-login"): "createUserJob.env",
    ("Secret", "airflow-console"): "createUserJob.env",
    ("Secret", "user-api"): "workers.env",
    ("Secret", "landing-airflow"): "workers.env",
    ("Secret", "cassandra-reader"): "workers.env",
    ("KafkaUser", "kafka-airflow"): "workers.env",
    ("PersistentVolumeClaim", "airflow-logs"): "logs.persistence.existingClaim",
    ("PersistentVolumeClaim", "dags"): "dags.persistence.existingClaim",
}
FIXED_SECRETS = {name for kind, name in FIXED if kind in ("Secret", "KafkaUser")}


def secret_name(suffix: str) -> str:
    """The name of a Secret, or of a KafkaUser, of the release."""
    return suffix if suffix in FIXED_SECRETS else f"{PLATFORM}-{suffix}"
