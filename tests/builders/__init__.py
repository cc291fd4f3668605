"""What tests of several packages build: oceans in closed form, files, small runs. No test stands here."""
