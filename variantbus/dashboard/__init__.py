"""The web page: a client of the bus like any other, and a server for browsers.

May import `bus`, `pipeline_runner.metadata`, `pipeline_runner.outputs`, `variantbus.client`, `variantbus.cluster`,
`variantbus.files` and `variantbus.reports`. Only `cluster` needs the extra `cluster`.
"""
