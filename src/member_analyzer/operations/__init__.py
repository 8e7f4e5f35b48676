"""What administrators run: provisioning, audit, rebuild, and what they need to know of Airflow and of restarts.

May import everything that data flows through, but neither an environment (`local`, `cluster`) nor a program.
"""
