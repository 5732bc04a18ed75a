"""One closed model, read from the tables of ``hacore.protocol``, and four independent ways to find it wrong."""
