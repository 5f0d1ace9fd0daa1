"""The monitor's settings: `groups` declares them with defaults and descriptions, `loading` reads and checks them."""
