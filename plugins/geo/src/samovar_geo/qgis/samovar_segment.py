"""samovar in the QGIS Processing toolbox.

Copy this file into QGIS's folder processing/scripts (``samovar qgis-script -o FOLDER`` does), then
Processing → Toolbox → Scripts → samovar → Segment raster. samovar runs as a program of its own, in
its own Python: nothing is installed into QGIS. Needs QGIS 3.22 or later.
"""

import os
import re
import shutil
import subprocess

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

PROGRESS = re.compile(r"(\d+)/(\d+)")
PARTLY = re.compile(r"tiles? failed, the rest is written")
SETTING = "SAMOVAR_PROGRAM"


class SamovarSegment(QgsProcessingAlgorithm):
    """Runs ``samovar segment`` and loads what it wrote."""

    INPUT = "INPUT"
    PROMPTS = "PROMPTS"
    AUTO = "AUTO"
    BANDS = "BANDS"
    MODEL = "MODEL"
    EXTENT = "EXTENT"
    SIMPLIFY = "SIMPLIFY"
    REGULARIZE = "REGULARIZE"
    MORE = "MORE"
    PROGRAM = "PROGRAM"
    OUTPUT = "OUTPUT"

    def createInstance(self):
        return SamovarSegment()

    def name(self):
        return "samovar_segment"

    def displayName(self):
        return "Segment raster"

    def group(self):
        return "samovar"

    def groupId(self):
        return "samovar"

    def shortHelpString(self):
        return (
            "Outlines what is inside the boxes, or at the points, of a layer, or finds objects by "
            "a prompt generator. Polygons come in the raster's CRS with ellipsoidal areas. "
            "Give a layer of prompts or a generator (grid), not both."
        )

    def initAlgorithm(self, config=None):
        add = self.addParameter
        add(QgsProcessingParameterRasterLayer(self.INPUT, "Raster"))
        add(
            QgsProcessingParameterFeatureSource(
                self.PROMPTS,
                "Boxes, outlines or points of the objects",
                [QgsProcessing.TypeVectorPolygon, QgsProcessing.TypeVectorPoint],
                optional=True,
            )
        )
        add(
            QgsProcessingParameterString(self.AUTO, "Prompt generator, such as grid", optional=True)
        )
        add(QgsProcessingParameterString(self.BANDS, "Bands, such as 4,3,2", optional=True))
        add(QgsProcessingParameterString(self.MODEL, "Model", defaultValue="tiny"))
        add(QgsProcessingParameterExtent(self.EXTENT, "Only inside", optional=True))
        add(
            QgsProcessingParameterNumber(
                self.SIMPLIFY,
                "Simplify outlines by (metres)",
                type=QgsProcessingParameterNumber.Double,
                optional=True,
                minValue=0.0,
            )
        )
        add(QgsProcessingParameterBoolean(self.REGULARIZE, "Right angles", defaultValue=False))
        add(
            QgsProcessingParameterString(
                self.MORE, "More options of samovar segment", optional=True
            )
        )
        add(QgsProcessingParameterFile(self.PROGRAM, "The samovar program", optional=True))
        add(QgsProcessingParameterVectorDestination(self.OUTPUT, "Objects"))

    def processAlgorithm(self, parameters, context, feedback):
        raster = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if raster is None:
            raise QgsProcessingException("The raster cannot be read.")
        output = self.parameterAsOutputLayer(parameters, self.OUTPUT, context)
        command = [self.program(parameters, context), "segment", raster.source(), "-o", output]
        command += self.asked(parameters, context, feedback)
        command += self.looking(parameters, context, raster)
        run(command, feedback)
        return {self.OUTPUT: output}

    def program(self, parameters, context):
        """The program: as given, else of the environment, else on the path."""
        given = self.parameterAsFile(parameters, self.PROGRAM, context) or os.environ.get(SETTING)
        found = given or shutil.which("samovar")
        if not found:
            raise QgsProcessingException(
                "samovar is not on the path. Name its program (…/.venv/bin/samovar, on Windows "
                rf"…\.venv\Scripts\samovar.exe), or set {SETTING}."
            )
        return found

    def asked(self, parameters, context, feedback):
        """Prompts or a generator, as options."""
        generator = self.parameterAsString(parameters, self.AUTO, context).strip()
        prompts = None
        if parameters.get(self.PROMPTS) is not None:
            # QGIS writes memory layers, filters and selections to a file that others can read
            prompts = self.parameterAsCompatibleSourceLayerPath(
                parameters, self.PROMPTS, context, ["gpkg"], "gpkg", feedback
            )
        if bool(generator) == bool(prompts):
            raise QgsProcessingException("Give a layer of prompts or a generator: one of the two.")
        if not prompts:
            return ["--auto", generator]
        path, _, rest = prompts.partition("|")
        options = ["--prompts", path]
        layer = re.search(r"layername=([^|]+)", rest)
        return options + (["--prompt-layer", layer[1]] if layer else [])

    def looking(self, parameters, context, raster):
        """Everything else, as options. An existing output is QGIS's to overwrite: it has asked."""
        more = split_words(self.parameterAsString(parameters, self.MORE, context))
        options = ["--model", self.parameterAsString(parameters, self.MODEL, context) or "tiny"]
        if "--resume" not in more:
            options.append("--overwrite")
        bands = self.parameterAsString(parameters, self.BANDS, context).strip()
        if bands:
            options += ["--bands", bands]
        if parameters.get(self.EXTENT):
            box = self.parameterAsExtent(parameters, self.EXTENT, context, raster.crs())
            if not box.isNull():
                corners = (box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum())
                options += ["--bbox", ",".join(repr(float(v)) for v in corners)]
        metres = self.parameterAsDouble(parameters, self.SIMPLIFY, context)
        if parameters.get(self.SIMPLIFY) is not None and metres > 0:
            options += ["--simplify", repr(float(metres))]
        if self.parameterAsBool(parameters, self.REGULARIZE, context):
            options.append("--regularize")
        return options + more


def split_words(text):
    """Words at blanks, quotes kept together; backslashes are of Windows paths."""
    return [a or b or c for a, b, c in re.findall(r'"([^"]*)"|\'([^\']*)\'|(\S+)', text)]


def environment():
    """Without QGIS's own Python and GDAL: the program has its own."""
    own = ("PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "PROJ_LIB", "PROJ_DATA", "GDAL_DRIVER_PATH")
    kept = {k: v for k, v in os.environ.items() if k not in own}
    return {**kept, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def run(command, feedback):
    """Run a program, its progress into QGIS; cancelled when the user cancels.

    Raises QgsProcessingException with the program's last line when it fails.
    """
    feedback.pushCommandInfo(" ".join(command))
    hidden = {"creationflags": 0x08000000} if os.name == "nt" else {}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
            text=True,
            encoding="utf-8",
            errors="replace",
            **hidden,
        )
    except OSError as error:
        raise QgsProcessingException(f"samovar cannot be started: {error}") from error
    last = failed = ""
    with process:
        for line in process.stdout:
            line = line.rstrip()
            if feedback.isCanceled():
                process.terminate()
                break
            found = PROGRESS.search(line)
            if line.startswith("segmenting") and found and int(found[2]):
                feedback.setProgress(100.0 * int(found[1]) / int(found[2]))
            elif line:
                last = line
                failed = line if PARTLY.search(line) else failed
                feedback.pushInfo(line)
    if feedback.isCanceled():
        raise QgsProcessingException(
            "Cancelled. With --resume among the options, the next run goes on."
        )
    if process.returncode == 1 and failed:
        feedback.reportError(failed)
    elif process.returncode != 0:
        raise QgsProcessingException(last or f"samovar failed ({process.returncode})")
