"""What surrounds a cluster: the configurations of its servers, and the judgement of how it is.

May import `bus` and `variantbus.reports`. Only what asks a cluster needs the extra `cluster`.
"""
