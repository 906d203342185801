"""The world, behind the ports: endpoints, stores, vaults. They never see a door or each other."""
