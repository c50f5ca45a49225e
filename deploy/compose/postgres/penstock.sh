#!/bin/bash
# Run once by the image of PostgreSQL, as its superuser: the roles and databases of docs/production.md.
set -euo pipefail
psql --no-psqlrc --set ON_ERROR_STOP=1 --username postgres --dbname postgres \
    --set owner="$(cat /run/secrets/owner_password)" --set login="$(cat /run/secrets/penstock_password)" <<'SQL'
CREATE ROLE penstock_admin LOGIN PASSWORD :'owner' CREATEROLE;
CREATE ROLE penstock LOGIN NOINHERIT PASSWORD :'login';
CREATE DATABASE penstock OWNER penstock_admin;
CREATE DATABASE penstock_dagster OWNER penstock_admin;
\connect penstock
CREATE EXTENSION IF NOT EXISTS vector;
SQL
