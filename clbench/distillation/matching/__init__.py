"""Distribution and attention matching: DM and DataDAM."""
