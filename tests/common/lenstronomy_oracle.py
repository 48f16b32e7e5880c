"""lenstronomy renders a scene, for the tests of our rendering and for its benchmark."""

import dataclasses

import numpy as np
from lenstronomy.Data.pixel_grid import PixelGrid
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from lenstronomy.Util.param_util import phi_q2_ellipticity, shear_polar2cartesian

from lens_common.data.layout import STAMP_SIDE_PIXELS


def lenstronomy_counts(scene, points_per_side, margin=6, supersampled_seeing=True):
    """Counts of source and field, (2, 45, 45), from points_per_side^2 points a pixel; lengths in pixels.

    lenstronomy continues the light of the outermost pixels beyond the frame, so the frame is larger than the stamp.
    """
    side = STAMP_SIDE_PIXELS + 2 * margin
    image_model = ImageModel(
        PixelGrid(side, side, np.eye(2), ra_at_xy_0=-0.5 * (side - 1), dec_at_xy_0=-0.5 * (side - 1)),
        PSF("GAUSSIAN", fwhm=scene.psf_fwhm_pixels, truncation=5),
        lens_model_class=LensModel(["SIE", "SHEAR"] if scene.lens else []),
        source_model_class=LightModel(["SERSIC_ELLIPSE"] * len(scene.source)),
        lens_light_model_class=LightModel(["SERSIC_ELLIPSE"] * len(scene.field)),
        kwargs_numerics={
            "supersampling_factor": points_per_side,
            "supersampling_convolution": supersampled_seeing and points_per_side > 1,
        },
    )
    source, field = ([sersic_arguments(profile) for profile in part] for part in (scene.source, scene.field))
    counts = np.stack(
        [
            image_model.source_surface_brightness(source, lens_arguments(scene.lens)),
            image_model.lens_surface_brightness(field),
        ]
    )
    stamp = slice(margin, margin + STAMP_SIDE_PIXELS)
    return counts[:, stamp, stamp]


def sersic_arguments(profile):
    e1, e2 = phi_q2_ellipticity(profile.angle_radians, profile.axis_ratio)
    arguments = {
        "amp": 1.0,
        "R_sersic": profile.radius_pixels,
        "n_sersic": profile.index,
        "e1": float(e1),
        "e2": float(e2),
        "center_x": profile.centre_pixels[0],
        "center_y": profile.centre_pixels[1],
    }
    flux = LightModel(["SERSIC_ELLIPSE"]).total_flux([arguments])[0]
    return dict(arguments, amp=profile.flux_counts / float(flux))


def lens_arguments(lens):
    if lens is None:
        return []
    e1, e2 = phi_q2_ellipticity(lens.angle_radians, lens.axis_ratio)
    gamma1, gamma2 = shear_polar2cartesian(lens.shear_angle_radians, lens.shear)
    return [
        {"theta_E": lens.einstein_radius_pixels, "e1": e1, "e2": e2, "center_x": 0.0, "center_y": 0.0},
        {"gamma1": gamma1, "gamma2": gamma2, "ra_0": 0.0, "dec_0": 0.0},
    ]


def of_band(scene, band):
    """The scene in one of its bands alone."""
    widths = (scene.psf_fwhm_pixels, *scene.psf_fwhm_further_pixels)
    source, field = (
        [
            dataclasses.replace(p, flux_counts=p.flux_counts * (1.0, *p.further_bands)[band], further_bands=())
            for p in part
        ]
        for part in (scene.source, scene.field)
    )
    return dataclasses.replace(
        scene, source=source, field=field, psf_fwhm_pixels=widths[band], psf_fwhm_further_pixels=()
    )
