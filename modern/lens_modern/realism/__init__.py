"""Realism: how well a random forest tells mocks from the stamps that they stand for, and by what."""
