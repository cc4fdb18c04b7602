DROP TABLE entra_sync.unapproved_person;
