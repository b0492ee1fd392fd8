"""What the command line and the dashboard ask of the services, each as one function.

May import `bus`, `learning_service.experiments` and `variantbus.reports`.
"""
