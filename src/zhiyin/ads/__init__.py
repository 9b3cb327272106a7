"""Advertisements in answers: today a static file of campaigns, behind the seam a full ad system fills later."""
