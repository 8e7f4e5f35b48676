"""Administration: provisioning, audit, rebuild, the Airflow client, and restart detection.

May import all packages of the data flow, but no environment (`local`, `cluster`) and no program.
"""
