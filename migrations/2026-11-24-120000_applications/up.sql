-- One row for each Enterprise Application.

-- The object id of an application is one application's wherever it is; a tenant
-- may be written in several ways, as a GUID or as any of its domains. Two rows
-- for one application would each spare what the other manages. A ledger that has
-- such rows already goes without the index: passes name the rows and end before
-- they change anything, which a step that fails could not do.
LOCK TABLE entra_sync.source IN SHARE MODE;
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM entra_sync.source GROUP BY service_principal_id HAVING count(*) > 1
    ) THEN
        CREATE UNIQUE INDEX source_by_service_principal
            ON entra_sync.source (service_principal_id);
    END IF;
END
$$;
