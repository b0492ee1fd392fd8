"""The `variantbus` command."""
