"""The pictures of the dashboard in docs/screenshots, made anew by one command."""
