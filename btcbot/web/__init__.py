"""The dashboard's page: three static files, nothing from another host."""
