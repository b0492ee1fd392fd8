"""Tests: `unit` needs nothing, `integration` sockets and files, `acceptance` our commands."""
