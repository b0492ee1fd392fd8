"""An experiment of a folder of pictures: what varies among them, and which of them belong together.

May import `bus`, `learning_service.experiments`, `pipeline_runner.metadata`, `pipeline_runner.outputs` and
`variantbus.reports`.
"""
