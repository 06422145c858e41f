"""Whole-slide files without the people: labels, macros and identifying texts are not in the bytes of the copy.

`plan_slide` looks at a file and says what its clean copy will be; the plan's ``write`` makes it.
"""

from __future__ import annotations

from aurelius_deidentify.slides.cleaning import SlidePlan, plan_slide
from aurelius_deidentify.slides.dicom_slides import is_associated_image

__all__ = ["SlidePlan", "is_associated_image", "plan_slide"]
