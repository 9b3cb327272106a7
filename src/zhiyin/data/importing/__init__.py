"""Folders of other recommenders -> Tables: ``import_folder`` reads what Gorse, Amazon Personalize and RecBole write."""

from zhiyin.data.importing.folder import FORMATS, import_folder, recognise
from zhiyin.data.importing.parts import Imported

__all__ = ["FORMATS", "Imported", "import_folder", "recognise"]
