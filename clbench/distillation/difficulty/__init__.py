"""How hard an image is (EL2N), and which images a network is shown when."""
