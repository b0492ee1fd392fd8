"""How fast it is: the same work through our bus and through others, side by side. No part of the distribution."""
