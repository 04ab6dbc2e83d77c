"""The command report."""

import click

from clip_cfr.cache.console import PATH, Command, echo, overwrite_option
from clip_cfr.calibrate.commands.options import named_arguments, named_options


@click.command(cls=Command)
@click.argument("directories", type=PATH, metavar="DIR...", nargs=-1, required=True)
@click.option("--out", type=PATH, help="HTML file to write; by default DIR-report.html.")
@click.option(
    "--thumbnails",
    type=int,
    metavar="N",
    help="Show small pictures of at most N images. Needs --root; by default 100 with it.",
)
@click.option("--root", type=PATH, help="Folder of the images, as given to extract.")
@click.option(
    "--png", type=PATH, metavar="DIR", help="Write the plots as PNG files, too, into DIR."
)
@click.option(
    "--cache",
    type=PATH,
    multiple=True,
    help="Cache file of a run, if it is no longer where calibrate read it. May be given several "
    "times.",
)
@click.option(
    "--map",
    type=click.Choice(["tsne", "umap"]),
    default="tsne",
    help="Method that draws the embeddings of images as a map. umap needs the extra umap of the "
    "package.",
)
@click.option(
    "--rows", type=int, default=1000, metavar="N", help="Show at most N images in the map."
)
@overwrite_option
@named_options()
def report(directories, out, values_in_words, attributes_file, attribute_margin, words, **options):
    """Write one HTML page about runs and grids, which opens without a network.

    DIR is a run folder of calibrate or a grid folder of grid. The page has the recommendation, the
    tables, plots, a map of embeddings, and the misclassified images of highest confidence.

    \b
    Example:
      clip-cfr report runs/demo/run
      clip-cfr report runs/demo/run --root runs/demo/images --thumbnails 200 --png plots
      clip-cfr report runs/demo/run --attribute 'red digit' --attribute 'green digit'
      clip-cfr report runs/celeba-grid-0a1b2c3d --out celeba.html
    """
    from clip_cfr.calibrate.report.write import write_report

    named = named_arguments(values_in_words, attributes_file, attribute_margin, words)
    written = write_report(directories, out, **options, **named)
    for sentence in written.missing:
        echo(f"warning: {sentence}", err=True)
    if written.note:
        echo(written.note, err=True)
    if written.plots:
        echo(f"{len(written.plots)} plots written to {written.plots[0].parent}", err=True)
    echo(f"report: {written.path} ({written.bytes / 1e6:.1f} MB); open it in a browser")
