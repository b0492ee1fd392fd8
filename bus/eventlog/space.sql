-- copy: write all that is in a database to a new file, without free pages.
VACUUM INTO ?;
