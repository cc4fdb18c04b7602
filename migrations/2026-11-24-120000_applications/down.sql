DROP INDEX IF EXISTS entra_sync.source_by_service_principal;
