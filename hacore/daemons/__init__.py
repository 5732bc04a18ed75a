"""The daemons: rounds as generators of requests. Nothing here touches the world."""
