"""What the tests share: builders of images, stand-ins, and real servers as context managers."""
