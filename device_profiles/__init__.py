"""What boards can do and the bytes that make them do it: data, with the code that reads and checks it."""

from device_profiles.loader import Catalog, load_profile
from device_profiles.profile import Action, Point, Profile, ProfileError

__all__ = ["Action", "Catalog", "Point", "Profile", "ProfileError", "load_profile"]
