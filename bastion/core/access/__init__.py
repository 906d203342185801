"""Who may do what: endpoints, policy, decisions and grants. Never how something is dialled."""
