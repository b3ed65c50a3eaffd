"""Brings Debian and Ubuntu hosts to an Airflow + Celery installation over SSH, and keeps them there."""
