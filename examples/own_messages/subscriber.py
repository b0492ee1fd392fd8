"""Print what the rooms say: `python subscriber.py tcp://127.0.0.1:5601`."""

import sys

from messages import decode

from bus import Start, Subscriber

with Subscriber([sys.argv[1]], ["room"], start=Start.LATEST) as subscriber:
    for event in subscriber:
        print(event.offset, event.topic, decode(event.body), flush=True)
