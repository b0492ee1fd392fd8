"""The requests of the command line and the dashboard to the services, each as one function.

May import `bus`, `learning_service.experiments` and `variantbus.reports`.
"""
