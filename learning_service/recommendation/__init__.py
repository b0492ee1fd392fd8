"""Which value is best, and how sure that is: the statistics, and the service that keeps the answer up to date.

The statistics are pure functions; they need numpy and scipy, which are imported when they are first used.

May import `bus`, `learning_service.experiments` and `learning_service.storage`.
"""

import os

# Statistics take one core. Several threads of one computation wait for each other, and where there is other work, as
# the loop's always is, that takes ten times as long. It counts when numpy is loaded, which is later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
