"""A soak: very many mixed calls over every transport against one server, while its memory and its tables are watched."""
